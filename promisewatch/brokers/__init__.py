"""Local brokers for the demo, the tests and `promisewatch kafka`: Apache Kafka, and librdkafka's mock as a stand-in.

Both are used alike: `with ApacheKafka() as broker: ... broker.bootstrap_server`. Both run as a process of their own
that never outlives the one that started it.
"""

from promisewatch.brokers.apache import ApacheKafka, Listener
from promisewatch.brokers.choice import BrokerChoice, Chosen, choose_broker
from promisewatch.brokers.embedded import EmbeddedBroker

__all__ = ["ApacheKafka", "BrokerChoice", "Chosen", "EmbeddedBroker", "Listener", "choose_broker"]
