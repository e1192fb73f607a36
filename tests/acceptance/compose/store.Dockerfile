# Debian's PostgreSQL, which reads the variables of the image that compose.yaml names.
FROM preview-base:python3
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/15/main
COPY store.sh /store.sh
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data/inside
CMD ["sh", "/store.sh"]
