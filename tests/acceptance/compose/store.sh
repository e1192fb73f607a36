set -eu
mkdir -p "$PGDATA"
chown -R postgres:postgres /var/lib/postgresql
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
  chown postgres /tmp/password
  su postgres -c "PATH=$PATH initdb --pgdata=$PGDATA --username=$POSTGRES_USER --pwfile=/tmp/password \
    --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8"
  rm /tmp/password
  su postgres -c "PATH=$PATH pg_ctl --pgdata=$PGDATA --wait start"
  su postgres -c "PATH=$PATH createdb --username=$POSTGRES_USER $POSTGRES_DB" || true
  su postgres -c "PATH=$PATH pg_ctl --pgdata=$PGDATA --wait stop"
  printf 'host all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
fi
exec su postgres -c "exec /usr/lib/postgresql/15/bin/postgres -D $PGDATA -c listen_addresses='*'"
