-- The shop's database. The monolith made it; product reads the same tables, as it does while a shop is being taken apart.
CREATE TABLE IF NOT EXISTS product (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL,
	price INTEGER NOT NULL, -- won
	stock INTEGER NOT NULL
);
INSERT OR IGNORE INTO product VALUES
	(1, 'Ginger tea, 20 bags', 8900, 120),
	(2, 'Laver, roasted, 10 packs', 12900, 310),
	(3, 'Rice cooker, 6 cups', 149000, 14),
	(4, 'Buckwheat noodles 1 kg', 6400, 75),
	(5, 'Pear juice "Naju", 30 pouches', 27900, 58),
	(6, 'Brass chopsticks, a pair', 18500, 33),
	(7, 'Wool blanket', 54000, 9),
	(8, 'Red pepper paste 1 kg', 11200, 204);
CREATE TABLE IF NOT EXISTS member (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL,
	grade TEXT NOT NULL
);
INSERT OR IGNORE INTO member VALUES (1, 'Hana', 'VIP'), (2, 'Minjun', 'GOLD'), (3, 'Sora', 'FAMILY');
