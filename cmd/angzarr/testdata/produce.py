"""Produces records as confluent-kafka does it by default.

Arguments are brokers and topic. Each line of the input is a key and a value in
hex; each line of the output is a record's number, partition and offset.
"""

import sys

from confluent_kafka import Producer


def told(number):
    def report(error, message):
        if error is not None:
            sys.exit(f"record {number}: {error}")
        print(number, message.partition(), message.offset())

    return report


brokers, topic = sys.argv[1:]
producer = Producer({"bootstrap.servers": brokers})
for number, line in enumerate(sys.stdin):
    key, value = (bytes.fromhex(word) for word in line.split())
    producer.produce(topic, key=key, value=value, on_delivery=told(number))
    producer.poll(0)
if left := producer.flush(30):
    sys.exit(f"{left} records were not delivered within 30 s")
