# On SLURM, before anything is submitted: the jobs that a killed Snakemake left in the queue would do the same work.
from mocksed import slurm


onstart:
    if workflow.executor_plugin.name == "slurm":
        executor = workflow.scheduler._executor
        prefix = slurm.prefix(R)
        try:
            slurm.cancel_left_over(prefix, logger.warning)
        except UserError as error:
            raise WorkflowError(str(error)) from None
        executor.run_uuid = prefix + executor.run_uuid.rpartition("_")[2]
        slurm.keep_unanswered(executor)
        logger.info(f"SLURM jobs of this run: squeue --me --name {executor.run_uuid}")
