-- Why a document did not resolve from this release on.
ALTER TABLE document_changes ADD COLUMN reason {text};
