"""Everything that is kept in Postgres; only here and in the migrations are the tables seen."""
