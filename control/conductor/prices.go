package conductor

import (
	"context"
	"sync"
	"time"

	"github.com/phoenix-platform/phoenix/control/cost"
)

// Prices are what a stream is billed by.
type Prices struct {
	Model cost.Model
	// Series and SamplesPerSecond are those of the whole stream, Hosts how many
	// hosts are billed.
	Series           uint64
	SamplesPerSecond float64
	Hosts            uint64
}

// priceAge is how long prices are taken for the present ones.
const priceAge = 10 * time.Second

// priceTag keeps the prices, because asking for them takes a look at the stream.
type priceTag struct {
	mu     sync.Mutex
	at     time.Time
	prices Prices
}

func (c *Conductor) currentPrices(ctx context.Context) Prices {
	if c.settings.Prices == nil {
		return Prices{}
	}
	p := &c.prices
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := c.settings.Now(); p.at.IsZero() || now.Sub(p.at) >= priceAge || now.Before(p.at) {
		prices, err := c.settings.Prices(ctx)
		if err != nil {
			return p.prices // as they were: cost is one guardrail of many
		}
		p.prices, p.at = prices, now
	}
	return p.prices
}

// price says what each arm costs a month: the bill with what the arm sends, less
// the bill without it, because prices of tiers do not add up.
func (c *counters) price(level *[arms]levels, p Prices, change [arms]totals, now time.Time) {
	if !p.Model.Priced() {
		return
	}
	seconds := now.Sub(c.began).Seconds()
	var rate [arms]float64
	for i := range rate {
		if seconds > 0 {
			rate[i] = float64(c.ends[i].sum.points+change[i].points) / seconds
		}
	}
	others := cost.Item{
		Key: cost.Key{Overflow: true}, Type: "mixed",
		Series:           p.Series - min(p.Series, level[baseline].series),
		SamplesPerSecond: max(0, p.SamplesPerSecond-rate[baseline]),
	}
	without := p.Model.Price(cost.Usage{Items: []cost.Item{others}, Hosts: p.Hosts}).Month
	for i := range level {
		if !level[i].reported {
			continue
		}
		own := cost.Item{Key: cost.Key{Metric: "arm"}, Type: "mixed", Series: level[i].series, SamplesPerSecond: rate[i]}
		level[i].cost = int64(p.Model.Price(cost.Usage{Items: []cost.Item{others, own}, Hosts: p.Hosts}).Month - without)
	}
}
