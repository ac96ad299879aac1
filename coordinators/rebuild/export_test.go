package rebuild

import "time"

// SetPatience is how long an order waits for its answer.
func (s *Service) SetPatience(d time.Duration) { s.patience = d }

// SetMeasured is for how long it is seen how fast a rebuild is.
func (s *Service) SetMeasured(d time.Duration) { s.measured = d }
