# The images of all that is written in Go: the coordinator, which is the default,
# and the examples.
#
#   docker build --build-arg VERSION="$(git describe --tags --always --dirty)" -t angzarr/coordinator .
#   docker build --target example --build-arg EXAMPLE=inventory -t angzarr/inventory .
#
# With --platform linux/arm64 the compiler still runs on the machine's own
# architecture. BUILT=outside takes binaries that deploy/images/build has put into
# .images/go/ instead of compiling here: then no base image is needed.
ARG BUILT=inside
ARG GO_VERSION=1.26

FROM --platform=$BUILDPLATFORM golang:${GO_VERSION}-alpine AS modules
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download

FROM modules AS compiler
COPY . .
ARG TARGETARCH
ARG VERSION
ENV CGO_ENABLED=0 GOOS=linux GOARCH=$TARGETARCH
RUN mkdir -p /out/tmp && cp /etc/ssl/certs/ca-certificates.crt /out/ca-certificates.crt

FROM compiler AS coordinator-inside
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -ldflags "-s -w -X main.release=$VERSION" -o /out/angzarr ./cmd/angzarr

FROM compiler AS example-inside
ARG EXAMPLE=inventory
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -ldflags "-s -w" -o /out/example ./examples/$EXAMPLE/cmd/$EXAMPLE

FROM scratch AS coordinator-outside
COPY .images/go/angzarr .images/go/ca-certificates.crt /out/

FROM scratch AS example-outside
ARG EXAMPLE=inventory
COPY .images/go/$EXAMPLE /out/example

FROM example-${BUILT} AS example-built
FROM coordinator-${BUILT} AS coordinator-built

# Each example has its own port, and checks itself there.
FROM scratch AS example
ARG EXAMPLE=inventory
ARG PORT=50051
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="angzarr example: $EXAMPLE" \
      org.opencontainers.image.source="https://github.com/angzarr/angzarr-kafka" \
      org.opencontainers.image.licenses="SSPL-1.0" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION
COPY --from=example-built /out/example /example
USER 65532:65532
EXPOSE $PORT
HEALTHCHECK --interval=2s --timeout=3s --start-period=10s CMD ["/example", "-health"]
ENTRYPOINT ["/example"]

FROM scratch AS coordinator
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="angzarr" \
      org.opencontainers.image.description="CQRS and event sourcing on Kafka, for business logic in any language" \
      org.opencontainers.image.source="https://github.com/angzarr/angzarr-kafka" \
      org.opencontainers.image.licenses="SSPL-1.0" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION
COPY --from=coordinator-built /out/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=coordinator-built /out/angzarr /angzarr
USER 65532:65532
# The front door, the admin port, the peers' door.
EXPOSE 50050 50060 50070
HEALTHCHECK --interval=2s --timeout=3s --start-period=30s CMD ["/angzarr", "health"]
ENTRYPOINT ["/angzarr"]
CMD ["serve"]
