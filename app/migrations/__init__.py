"""How the database came to be what it is: Alembic revisions, run by ``app.core.database.migrate``."""
