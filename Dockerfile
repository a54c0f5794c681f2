# The image of `make image` for those who have Docker: one static program and its licences, on nothing.
FROM rust:1.95 AS build
WORKDIR /goldenpath
COPY . .
ARG REVISION=unknown
RUN GOLDENPATH_COMMIT=$REVISION bash e2e/static-program.sh target/goldenpath

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="goldenpath" \
      org.opencontainers.image.description="Brings workloads onto paved-road defaults, without restarting or fighting anyone" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build --chmod=0555 /goldenpath/target/goldenpath /goldenpath
COPY --from=build --chmod=0444 /goldenpath/LICENSE /LICENSE
COPY --from=build --chmod=0444 /goldenpath/THIRD-PARTY-NOTICES.txt /THIRD-PARTY-NOTICES.txt
USER 65532:65532
ENTRYPOINT ["/goldenpath"]
CMD ["run"]
