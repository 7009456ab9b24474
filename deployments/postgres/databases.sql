-- Read by PostgreSQL's image when its volume is empty. POSTGRES_DB makes the database athanor.
CREATE DATABASE prefect;
