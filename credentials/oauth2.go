package credentials

func oauth2() Type { return Type{Name: TypeOAuth2, renews: true} }
