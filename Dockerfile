# The tags name exact patch versions. To pin the very bytes as well, append the digest that your registry shows for the
# tag (`docker buildx imagetools inspect python:3.13.14-slim-bookworm`) to both lines: python:3.13.14-slim-bookworm@sha256:…
FROM python:3.13.14-slim-bookworm AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore POETRY_VIRTUALENVS_CREATE=false
WORKDIR /build

# Poetry only reads the lock; pip installs, with every hash checked, as `make install` does. None of this is kept.
RUN python -m venv /poetry \
    && /poetry/bin/pip install poetry==2.5.1 poetry-plugin-export==1.10.1 \
    && python -m venv --without-pip /opt/opsconnect

# Changes with the lock only, so that a change of the code does not install the dependencies again. Wheels only: there
# is no compiler here. Without the group `dev` and the extra `embedded`: servers are other containers.
COPY pyproject.toml poetry.lock README.md ./
RUN /poetry/bin/poetry check --lock \
    && /poetry/bin/poetry export --output requirements.txt \
    && /poetry/bin/pip --python /opt/opsconnect/bin/python install --require-hashes --only-binary :all: -r requirements.txt

COPY LICENSE ./
COPY app app
COPY migrations migrations
RUN /poetry/bin/poetry build --format wheel \
    && /poetry/bin/pip --python /opt/opsconnect/bin/python install --no-index --no-deps dist/opsconnect-*.whl


FROM python:3.13.14-slim-bookworm

ARG REVISION=unknown
LABEL org.opencontainers.image.title="OpsConnect" \
      org.opencontainers.image.description="Webhook middleware: proves each delivery genuine and keeps it exactly once before it answers" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"

# A running service installs nothing.
RUN pip uninstall --yes --root-user-action=ignore pip

# The builder's pip compiled every module. At run time nothing is written: the root may be read-only, with a tmpfs on /tmp.
ENV PATH=/opt/opsconnect/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=builder /opt/opsconnect /opt/opsconnect

WORKDIR /opsconnect
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM

# Alive, not ready: who sees "unhealthy" may start the container anew, and that mends no database. Load balancers and
# docker-compose.yaml ask /ready. http.client, because urllib would go through a proxy that the environment names.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-IS", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('OPSCONNECT_PORT') or 8000), timeout=2); c.request('GET', '/api/v1/health/live'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["opsconnect"]
CMD ["serve", "--host", "0.0.0.0"]
