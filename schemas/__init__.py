"""What crosses a boundary: events and facts in, published events out, the promise book, stored records, names."""
