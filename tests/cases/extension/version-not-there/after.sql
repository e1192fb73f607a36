CREATE EXTENSION vector; UPDATE pg_extension SET extversion = '99' WHERE extname = 'vector';
