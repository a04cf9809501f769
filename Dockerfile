# Two images from one file: `--target api` serves HTTP and holds no numeric package; `--target worker` optimizes and measures.

FROM python:3.12-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    ENXUTO_DATA_DIR=/data
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin enxuto \
    && install --directory --owner enxuto --group enxuto /data
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY enxuto enxuto
COPY app app
COPY workers workers

FROM base AS api
RUN pip install --constraint constraints.txt '.[service]'
ENV ENXUTO_HOST=0.0.0.0 \
    ENXUTO_PORT=8000
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
CMD ["python", "-m", "app"]

FROM base AS worker
RUN pip install --constraint constraints.txt '.[all]'
USER 10001
WORKDIR /data
VOLUME /data
# Seldom: asking takes two seconds of a processor that measures.
HEALTHCHECK --interval=120s --timeout=20s --start-period=30s \
    CMD ["sh", "-c", "celery -A workers.main inspect ping --timeout 5 --destination celery@$HOSTNAME"]
CMD ["celery", "-A", "workers.main", "worker"]
