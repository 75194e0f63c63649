FROM python:3.11-slim-trixie AS build

COPY requirements/production.txt /tmp/
# Only wheels: nothing is compiled or run to build a package, so this needs no compiler.
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement /tmp/production.txt


FROM python:3.11-slim-trixie

# A number, so that a cluster can see that it is not root.
RUN useradd --uid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin todo \
    && install --directory --owner=todo /app/var /app/var/attachments /app/var/backups /app/var/mail

WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY celeryconfig.py docker-entrypoint flowerconfig.py gunicorn.conf.py wsgi.py ./
COPY migrations/ migrations/
COPY ops/ ops/
COPY todo_app/ todo_app/

ENV PATH=/opt/venv/bin:$PATH \
    FLASK_APP=wsgi \
    PYTHONUNBUFFERED=1 \
    BIND=0.0.0.0:8000 \
    FLOWER_ADDRESS=0.0.0.0 \
    FLOWER_PORT=5555 \
    BEAT_SCHEDULE_FILE=/tmp/beat-schedule

# The code belongs to root and cannot be changed by the program; written once here, its bytecode
# need not be made at each start.
RUN python -m compileall -q /app

USER 10001
EXPOSE 8000 5555
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s \
    CMD ["/app/docker-entrypoint", "health"]
# The role is the argument: migrate, api, worker, beat or flower.
ENTRYPOINT ["/app/docker-entrypoint"]
