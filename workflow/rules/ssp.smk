# The SSP table. The shipped one needs no rule; a name below <results>/ssp that does not exist is made by FSPS, with the
# isochrones, spectra and dust emission that python-fsps was compiled with, and checked against it.
rule ssp_table:
    output:
        f"{cfg['results']}/ssp/{{table}}.h5",
    log:
        "logs/ssp/{table}.log",
    benchmark:
        "benchmarks/ssp/{table}.tsv"
    threads: 1
    resources:
        **resources_of("ssp_table"),
    params:
        imf_type=cfg["sps"]["imf_type"],
    message:
        "SSP table {wildcards.table} from the FSPS of SPS_HOME"
    script:
        "../scripts/ssp_table.py"
