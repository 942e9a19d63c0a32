# Two images of one build: `filter-and-tool` has the filter and `hexr-authz`, `demo` the parts of the demo.
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo wasm && cargo build --release -p hexr-authz -p integration --bin hexr-authz --bin demo

FROM debian:bookworm-slim AS filter-and-tool
COPY --from=build /source/target/wasm32-wasip1/release/hexr_authz_filter.wasm /hexr/
COPY --from=build /source/target/release/hexr-authz /usr/local/bin/
USER nobody
ENTRYPOINT ["hexr-authz"]

FROM debian:bookworm-slim AS demo
COPY --from=build /source/target/release/demo /usr/local/bin/
ENTRYPOINT ["demo"]
