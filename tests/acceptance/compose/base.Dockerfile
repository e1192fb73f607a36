# A Python without any registry, with the certificates that this machine trusts, so that pip works where it does here.
FROM preview-base:python3
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
