# The image of every process: `docker build -t promisewatch:0.1.0 .`
#
# 3.11 is the version this is developed and tested on. The tag names the patch release and the Debian release, so that
# a rebuild gets neither another Python nor another C library; it names no digest, so that a rebuild does get Debian's
# security fixes. "slim", not Alpine: RocksDB and librdkafka come as wheels for glibc.
FROM python:3.11.14-slim-bookworm AS build

# The same version as in the Makefile.
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/promisewatch \
    UV_PYTHON_DOWNLOADS=never \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
WORKDIR /src

# Dependencies first, as a layer of their own: they change less often than the source.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project --no-cache

# The core is compiled to C; the compiler stays behind in this stage. Debian's point releases move its version.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
ENV HATCH_BUILD_HOOK_ENABLE_MYPYC=1
COPY README.md LICENSE ./
COPY schemas schemas
COPY promises promises
COPY streams streams
COPY agents agents
COPY promisewatch promisewatch
RUN uv sync --frozen --no-dev --no-editable --no-cache


FROM python:3.11.14-slim-bookworm

# A user without a name elsewhere, a home or a shell; 10001 is above every host's own users.
RUN groupadd --gid 10001 promisewatch \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin promisewatch \
 && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/promisewatch
COPY --from=build /opt/promisewatch /opt/promisewatch

# The root file system may be read-only: nothing is written but to the working folder (the state) and /tmp.
ENV PATH=/opt/promisewatch/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/promisewatch
USER 10001:10001
ENTRYPOINT ["promisewatch"]
