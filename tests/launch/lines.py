"""Command lines that the tests of this folder have in common."""

RUN = ["--config=k400_divided", "--workdir=gs://bucket/runs/k400", "--data_dir=gs://bucket/data"]
ZONE = ["--zone=us-west4-a", "--poll_seconds=0", "--package=vidtx==0.1.0"]
TPU_VM = ["launch", "tpu-vm", "--name=one", "--accelerator=v5litepod-8", *ZONE, *RUN]
QUEUED = ["launch", "queued", "--name=many", "--accelerator=v5litepod-16", *ZONE, *RUN]
GKE = [
    "launch", "gke", "--name=work", "--cluster=pool", "--zone=us-west4-a",
    "--accelerator=v6e-16", "--image=us-west4-docker.pkg.dev/p/r/vidtx:1", *RUN,
]  # fmt: skip
SLURM = ["launch", "slurm", "--name=job", "--nodes=2", "--gpus_per_node=4", *RUN]
WAYS = {"tpu-vm": TPU_VM, "queued": QUEUED, "gke": GKE, "slurm": SLURM}
