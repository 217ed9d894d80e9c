"""The tables of a job file, each checked by itself.

Every key says in its description what it means, in the words that the JSON Schema shows and a missing key's mistake uses. A key is
here only when batchrun holds to it: a cap that is read and not kept would be believed.
"""
