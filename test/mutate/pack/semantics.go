package pack

// FaultHash changes with what decides when the rule fires and how it is routed, not with its
// texts: what a fault has proven stays proven when only those change.
func (p *Pack) FaultHash(r *Rule) string {
	var all []any
	for _, needed := range p.needed([]*Rule{r}) {
		expr, err := Parse(needed.Expr)
		if err != nil { // it was parsed when it was read
			panic(err)
		}
		all = append(all, needed.Name, expr.String(), needed.For, needed.KeepFiringFor, needed.fields["labels"])
	}
	return hash(all)
}
