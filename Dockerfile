# One hub in a container: the wheel is built in one stage, installed in the next; no compiler in the result.
#   docker build -t lightship .
#   docker run --rm -v hub:/hub lightship init --public-url https://hub.example:9443 --listen 0.0.0.0:9443
#   docker run -d --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -v hub:/hub -p 9443:9443 lightship
# The root file system can be read-only: all that is written goes to /hub. See compose.yaml.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN python -m venv /opt/lightship \
 && /opt/lightship/bin/python -m pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY policies policies
COPY certs certs
COPY service service
COPY feeds feeds
RUN /opt/lightship/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /hub --shell /usr/sbin/nologin lightship \
 && install -d -o lightship -g lightship -m 0700 /hub
COPY --from=build /opt/lightship /opt/lightship
ENV PATH=/opt/lightship/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LIGHTSHIP_HUB=/hub
USER lightship
VOLUME /hub
EXPOSE 9443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=15s --start-period=20s --retries=3 \
  CMD ["lightship", "doctor", "--hub", "/hub", "--serving"]
ENTRYPOINT ["lightship"]
CMD ["serve"]
