# One image for shards, routers and builders. Stage one builds, stage two runs: no compiler, no pip, nobody to become root.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
# builder, or scale: the builder with Dask, for k8s/build-workers.
ARG EXTRA=builder
RUN python -m venv /opt/trunkshow
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY trunkshow trunkshow
COPY shard shard
COPY router router
COPY builder builder
COPY cli cli
RUN /opt/trunkshow/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt ".[${EXTRA}]" \
 && /opt/trunkshow/bin/pip uninstall --yes pip \
 && find /opt/trunkshow -type d \( -name '__pycache__' -o -name tests \) -prune -exec rm -rf {} + \
 && find /opt/trunkshow -name '*.pyi' -delete \
 # What serves is compiled here, and not anew at each start of a process that cannot write it down: 0.5 s of a processor
 # instead of 2.4, at 18 MiB. Of the builder's libraries most would be ballast.
 && /opt/trunkshow/bin/python -c "import cli.main, cli.serve, router.main, shard.main, trunkshow.eventlog.nats_log"

FROM python:3.12-slim-bookworm
LABEL org.opencontainers.image.title="trunkshow" \
      org.opencontainers.image.description="Recommendations that always show up" \
      org.opencontainers.image.licenses="Apache-2.0"
# A number, so that Kubernetes can see that it is not root.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin trunkshow \
 && install --directory --owner=10001 --group=10001 /cache /store
COPY --from=build /opt/trunkshow /opt/trunkshow
ENV PATH=/opt/trunkshow/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1
USER 10001:10001
WORKDIR /tmp
# As process 1 it hears SIGTERM itself: servers set their own handlers, and the kernel's default for process 1 is to
# ignore. Children there are none, so no init is needed.
ENTRYPOINT ["trunkshow"]
CMD ["--help"]
# Probes are Kubernetes' (k8s/base); elsewhere: grpc_health_probe, or `trunkshow status`.
HEALTHCHECK NONE
