package deadband

// Part puts a payload into an envelope, Payload takes it out.
func Part(payload []byte) []byte { return seal(append(appendHeader(nil, 0, true), payload...)) }

// Payload is what Part was given.
func Payload(part []byte) []byte { return part[headerSize : len(part)-sumSize] }
