package credentials

func basicAuth() Type { return Type{Name: TypeBasicAuth} }
