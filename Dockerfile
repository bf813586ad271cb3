FROM python:3.13-slim

# psql runs the migrations.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends postgresql-client \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY setup.cfg setup.py README.rst ./
COPY bot bot
COPY db db
COPY sql sql
COPY workers workers

# Build with --build-arg EXTRAS= to leave out what only the sandbox provider needs.
ARG EXTRAS=[demo]
RUN pip install --no-cache-dir ".${EXTRAS}" \
 && useradd --create-home --uid 1000 video-bot \
 && install --directory --owner video-bot /videos /flower

USER video-bot
ENV OUTPUT_DIR=/videos FLOWER_DB=/flower/state
ENTRYPOINT ["video-bot"]
CMD ["--help"]
