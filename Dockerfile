# vidtx for accelerators, from these sources:
#
#   docker build --build-arg=EXTRA=tpu --tag=vidtx .
#   docker run --rm vidtx --config=motions --workdir=run
#
# EXTRA: tpu, cuda or cpu. RUN_AS: root where only root may open the accelerator, as in the
# privileged containers that xpk starts on GKE; elsewhere the user vidtx, who may do nothing else.

FROM python:3.12-slim AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir=/wheels .

FROM python:3.12-slim
ARG EXTRA=tpu
ARG RUN_AS=vidtx
ENV PYTHONUNBUFFERED=1
COPY --from=wheel /wheels /wheels
# PyAV brings its own FFmpeg, and OpenCV is the one without windows: no system packages are needed.
RUN case "$EXTRA" in \
      tpu|cuda) extras="$EXTRA,gcs" ;; \
      cpu) extras=gcs ;; \
      *) echo "EXTRA=$EXTRA: give tpu, cuda or cpu" >&2; exit 2 ;; \
    esac \
    && pip install --no-cache-dir "$(echo /wheels/vidtx-*.whl)[$extras]" \
    && useradd --create-home vidtx \
    && install --directory --owner=vidtx /srv/vidtx
USER $RUN_AS
WORKDIR /srv/vidtx
ENTRYPOINT ["python", "-m", "vidtx.main"]
