package cost

// Bill is what a usage costs if it lasts.
type Bill struct {
	// Hour is the cost of now, as a rate; Day and Month are 24 and
	// Model.HoursAMonth of it. Month is the sum of the lines; Hour and Day are
	// parts of it, rounded.
	Hour, Day, Month Money
	// Lines has one entry for each component, in the order of the model.
	Lines []Line
}

// Line is a component's part of a bill.
type Line struct {
	// Component is the name of the component.
	Component string
	// Quantity is what was counted in a month, in units of the component; Billed
	// is what is beyond the included volume.
	Quantity, Billed uint64
	// Month is the price of it.
	Month Money
}

// Price returns the bill for a usage that lasts a month. The model must be
// valid.
func (m Model) Price(u Usage) Bill {
	m = m.WithDefaults()
	var b Bill
	for _, t := range m.tariffs(u.Hosts) {
		quantity := t.quantity(t.total(u))
		line := Line{Component: t.Name, Quantity: quantity, Month: t.price(quantity)}
		line.Billed = quantity - min(quantity, t.free())
		b.Lines = append(b.Lines, line)
		b.Month = b.Month.plus(line.Month)
	}
	b.Hour, b.Day = m.hour(b.Month), m.day(b.Month)
	return b
}

func (m Model) hour(month Money) Money { return month.share(1, m.HoursAMonth) }

func (m Model) day(month Money) Money { return month.share(24, m.HoursAMonth) }

// total is what the whole usage brings to a component.
func (t tariff) total(u Usage) load {
	if t.Kind == KindHosts {
		return load{quantity: u.Hosts}
	}
	var sum load
	for _, item := range u.Items {
		sum = sum.plus(t.of(item))
	}
	return sum
}

// of is what an item brings as it is.
func (t tariff) of(item Item) load {
	return t.load(item.Type, item.Series, item.samples(t.hours), false)
}
