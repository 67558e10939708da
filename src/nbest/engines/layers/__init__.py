"""Engine → Engine: each layer is itself an engine, so they nest: `retry(limit(openai("http://…")))`."""

from nbest.engines.layers.balance import Balance
from nbest.engines.layers.breaker import Breaker
from nbest.engines.layers.cache import Cache
from nbest.engines.layers.failover import Failover
from nbest.engines.layers.group import EngineGroup
from nbest.engines.layers.hedge import Hedge
from nbest.engines.layers.limit import Limit
from nbest.engines.layers.retry import Retry

__all__ = ["Balance", "Breaker", "Cache", "EngineGroup", "Failover", "Hedge", "Limit", "Retry"]
