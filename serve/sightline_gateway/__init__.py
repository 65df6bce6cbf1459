"""One address for several replicas of a model: LiteLLM's proxy, told by pictures which of them sees.

Routing, retries and cooldown are LiteLLM's; here are its start, its keys, and who asks the replicas.
"""

__version__ = "0.1.0"
