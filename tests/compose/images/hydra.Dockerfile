# oryd/hydra: same program path, user (65532) and entry point. The published image is distroless;
# this one is Debian, with Hydra 2.3.0 built from its Go module.
FROM mcp-auth/base
COPY hydra /usr/bin/hydra
USER 65532:65532
ENTRYPOINT ["hydra"]
CMD ["serve", "all"]
