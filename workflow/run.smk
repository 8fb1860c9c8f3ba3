# The stages of a run, one file for each: what a configuration leads to.
include: "rules/common.smk"
include: "rules/ssp.smk"
include: "rules/galaxies.smk"
include: "rules/parent.smk"
include: "rules/neighbours.smk"
include: "rules/assign.smk"
include: "rules/spectra.smk"
include: "rules/diagnostics.smk"
