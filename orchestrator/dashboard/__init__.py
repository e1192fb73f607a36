"""The dashboard: pages for people, rendered here, live by server-sent events. Every verb it offers is the server's."""
