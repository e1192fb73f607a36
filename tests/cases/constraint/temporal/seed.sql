insert into room values ('[1,1]', '[2026-01-01,2026-02-01)', 'a'); insert into stay values ('[1,1]', '[2026-01-05,2026-01-09)');
