# envoyproxy/envoy: same user (101), entry point, command and paths. The published image is made of
# Ubuntu 22.04, and becomes the user by su-exec; this one is Debian, with PyPI's Envoy and setpriv.
FROM mcp-auth/base
RUN groupadd --system --gid 101 envoy \
 && useradd --system --uid 101 --gid 101 --no-create-home --shell /usr/sbin/nologin envoy \
 && mkdir -p /etc/envoy
COPY envoy /usr/local/bin/envoy
COPY docker-entrypoint.sh /
EXPOSE 10000
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["envoy", "-c", "/etc/envoy/envoy.yaml"]
