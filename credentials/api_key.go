package credentials

func apiKey() Type { return Type{Name: TypeAPIKey} }
