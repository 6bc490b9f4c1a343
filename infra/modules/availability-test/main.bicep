metadata name = 'Availability test'
metadata description = 'Azure calls the app from several places every five minutes, and so keeps the instance that answers taps warm.'

@description('Required. Name of the test.')
@minLength(1)
@maxLength(260)
param name string

@description('Required. Region.')
param location string

@description('Required. Tags.')
param tags object

@description('Required. False: the test is there and calls nobody.')
param enabled bool

@description('Required. Name of the Application Insights component that takes the results.')
param componentName string

@description('Required. Address that is called: one that asks for no key and tells nothing.')
param url string

@description('Required. Places that call, as Azure names them.')
@minLength(2)
@maxLength(16)
param locations string[]

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource test 'Microsoft.Insights/webtests@2022-06-15' = {
  name: name
  location: location
  tags: union(tags, { 'hidden-link:${component.id}': 'Resource' })
  kind: 'standard'
  properties: {
    SyntheticMonitorId: name
    Name: name
    Description: 'Whether the app answers from outside. docs/runbooks/availability.md'
    Enabled: enabled
    Kind: 'standard'
    Frequency: 300
    Timeout: 30
    RetryEnabled: true
    Locations: [
      for place in locations: {
        Id: place
      }
    ]
    Request: {
      RequestUrl: url
      HttpVerb: 'GET'
      FollowRedirects: false
      ParseDependentRequests: false
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
      SSLCheck: true
      SSLCertRemainingLifetimeCheck: 7
    }
  }
}
