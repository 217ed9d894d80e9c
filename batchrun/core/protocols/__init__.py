"""Wire formats, one file each: a row becomes request bytes; status, headers and body become a Reply or a Failure."""
