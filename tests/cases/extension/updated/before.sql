CREATE EXTENSION vector;
UPDATE pg_extension SET extversion = '0.8.4' WHERE extname = 'vector';
