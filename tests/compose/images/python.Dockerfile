# python:3.13-slim: same path of the program; it is Debian's Python 3.11.
FROM mcp-auth/base
RUN ln -s /usr/bin/python3 /usr/local/bin/python
CMD ["python3"]
