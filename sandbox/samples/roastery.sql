-- A coffee roastery's shop: small, and worth looking at. SQL that MySQL and PostgreSQL both take.
CREATE TABLE products (
  id INTEGER PRIMARY KEY,
  name VARCHAR(60) NOT NULL,
  origin VARCHAR(40) NOT NULL,
  price DECIMAL(8, 2) NOT NULL
);
CREATE TABLE customers (
  id INTEGER PRIMARY KEY,
  name VARCHAR(60) NOT NULL,
  email VARCHAR(80) NOT NULL,
  city VARCHAR(40) NOT NULL
);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers (id),
  product_id INTEGER NOT NULL REFERENCES products (id),
  quantity INTEGER NOT NULL,
  ordered_on DATE NOT NULL
);
INSERT INTO products (id, name, origin, price) VALUES
  (1, 'Yirgacheffe Morning', 'Ethiopia', 14.50),
  (2, 'Huila Cascade', 'Colombia', 12.90),
  (3, 'Antigua Ember', 'Guatemala', 13.40),
  (4, 'Mandheling Dusk', 'Sumatra', 15.20),
  (5, 'Harbour Blend', 'Blend', 10.80),
  (6, 'Decaf Lighthouse', 'Mexico', 13.90);
INSERT INTO customers (id, name, email, city) VALUES
  (1, 'Cafe Maas', 'orders@maas.example.com', 'Rotterdam'),
  (2, 'Boulangerie des Quais', 'orders@quais.example.com', 'Lyon'),
  (3, 'Bar Ensanche', 'orders@ensanche.example.com', 'Bilbao'),
  (4, 'Bryggen Books and Coffee', 'orders@bryggen.example.com', 'Bergen'),
  (5, 'Kawiarnia Motlawa', 'orders@motlawa.example.com', 'Gdansk'),
  (6, 'Hotel Scheldt', 'orders@scheldt.example.com', 'Antwerp'),
  (7, 'Caffe Molo', 'orders@molo.example.com', 'Trieste'),
  (8, 'Kavarna Spilberk', 'orders@spilberk.example.com', 'Brno');
INSERT INTO orders (id, customer_id, product_id, quantity, ordered_on) VALUES
  (1, 1, 1, 2, '2026-10-01'),
  (2, 2, 5, 6, '2026-10-02'),
  (3, 3, 2, 1, '2026-10-02'),
  (4, 4, 4, 3, '2026-10-05'),
  (5, 1, 5, 4, '2026-10-07'),
  (6, 5, 3, 2, '2026-10-09'),
  (7, 6, 1, 1, '2026-10-12'),
  (8, 7, 6, 5, '2026-10-14'),
  (9, 8, 2, 2, '2026-10-16'),
  (10, 2, 5, 8, '2026-10-19'),
  (11, 4, 1, 2, '2026-10-21'),
  (12, 3, 4, 1, '2026-10-23'),
  (13, 6, 5, 3, '2026-10-26'),
  (14, 7, 3, 2, '2026-10-28'),
  (15, 1, 2, 4, '2026-10-30'),
  (16, 5, 6, 1, '2026-11-02'),
  (17, 8, 5, 10, '2026-11-04'),
  (18, 2, 1, 3, '2026-11-09'),
  (19, 4, 3, 2, '2026-11-13'),
  (20, 6, 2, 6, '2026-11-18');
