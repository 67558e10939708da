"""llama.cpp's own HTTP server.  python serve_llamacpp.py MODEL.gguf PORT [embeddings]"""

import signal
import sys

import xllamacpp

SLOTS = 8

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {"tiny"}
params.hostnames = ["127.0.0.1"]
params.port = int(sys.argv[2])
params.n_parallel = SLOTS
params.n_ctx = SLOTS * 1024
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.cache_ram_mib = 0
params.verbosity = -1
params.endpoint_metrics = True
params.endpoint_slots = True  # what each has drawn so far
if "embeddings" in sys.argv:
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
