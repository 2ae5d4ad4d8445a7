# attack: None: what must differ between runs does: random numbers, hash seeds, addresses, process-private ids.
# args: ["@COPY@"]
# copies: 2
# differ: yes
# expect: accepted
import os
import uuid

print(os.urandom(16).hex(), hash("evalx"), id(object()), uuid.uuid4())
