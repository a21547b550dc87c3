"""How events flow: Faust and Kafka, batch by batch. Nothing here decides whether a promise was kept."""
