# On SLURM, before anything is submitted: the jobs that a killed Snakemake left in the queue would do the same work.
from mocksed.run import slurm


onstart:
    if workflow.executor_plugin.name == "slurm":
        executor = workflow.scheduler._executor
        prefix = slurm.prefix(R)
        try:
            cancelled = slurm.cancel_left_over(prefix, logger.warning)
        except UserError as error:
            raise WorkflowError(str(error)) from None
        if cancelled:
            # What they wrote or removed meanwhile was not known when the jobs of this run were decided on.
            workflow.async_run(workflow.dag.postprocess())
            logger.info(workflow.dag.stats()[0])
        executor.run_uuid = prefix + executor.run_uuid.rpartition("_")[2]
        slurm.keep_unanswered(executor)
        logger.info(f"SLURM jobs of this run: squeue --me --name {executor.run_uuid}")
