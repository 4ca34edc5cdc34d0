# node:24-slim: same paths and user, with PyPI's Node.js. The package that the example runs by npx is
# in npm's own folder already, for the container reaches no registry.
FROM mcp-auth/base
COPY node /usr/local
RUN useradd --uid 1000 --create-home --shell /bin/bash node \
 && ln -sf ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
 && ln -sf ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
COPY npx /root/.npm
ENV npm_config_offline=true
CMD ["node"]
