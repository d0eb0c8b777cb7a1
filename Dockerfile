# Two images from one file:
#   docker build --target base   -t loadlab .                               load, store, dashboard
#   docker build --target server -t loadlab-server .                        and the reference server (CPU)
#   docker build --target server -t loadlab-server --build-arg TORCH=cuda . the same for NVIDIA GPUs
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/loadlab \
 && /opt/loadlab/bin/pip install --no-cache-dir --no-compile -c constraints.txt ".[postgres]"

FROM build AS build-server
# cpu or cuda; a build has no GPU to look for.
ARG TORCH=cpu
RUN PIP_NO_CACHE_DIR=1 /opt/loadlab/bin/python scripts/install_torch.py "$TORCH" \
 && /opt/loadlab/bin/pip install --no-cache-dir --no-compile -c constraints.txt ".[server]"

FROM python:${PYTHON}-slim AS base
COPY --from=build /opt/loadlab /opt/loadlab
ENV PATH=/opt/loadlab/bin:$PATH PYTHONUNBUFFERED=1 LOADLAB_CACHE=/data/cache
RUN useradd --uid 10001 --create-home loadlab && install -d -o loadlab /data
USER loadlab
WORKDIR /data
VOLUME /data
ENTRYPOINT ["loadlab"]

FROM base AS server
COPY --from=build-server /opt/loadlab /opt/loadlab
EXPOSE 8000
# The key has to come from the environment: the server refuses to listen on a network without one.
CMD ["serve", "--engine", "torch", "--host", "0.0.0.0", "--port", "8000", "--api-key-env", "LOADLAB_SERVER_KEY"]
