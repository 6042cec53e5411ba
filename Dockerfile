# syntax=docker/dockerfile:1
# The image of all three programs: docker build -t registry.example/stedi:0.1.0 .
# e2e/image makes one of the same content without a daemon, from binaries that are there already.

FROM rust:1.95-bookworm AS build
ARG TARGETARCH
WORKDIR /src
COPY . .
# everything that can be switched on: people who query through this image are not to build one of their own
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,id=stedi-target-${TARGETARCH},sharing=locked \
    cargo build --release --locked --all-features \
        -p stedi -p stedi-coordinator -p stedi-worker-process && \
    mkdir /out && \
    cp target/release/stedi target/release/stedi-coordinator target/release/stedi-worker /out/

# glibc and the CA certificates, and neither a shell nor a package manager
FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="stedi" \
      org.opencontainers.image.description="STEDI's lakehouse engine: stedi, stedi-coordinator, stedi-worker" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build --chown=0:0 --chmod=0755 /out/ /usr/local/bin/
ENV PATH=/usr/local/bin
WORKDIR /
# by number: runAsNonRoot must see that it is not root
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/stedi"]
