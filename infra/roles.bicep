metadata name = 'Roles'
metadata description = 'The one table of built-in roles. Each id is Azure\'s own, the same in every tenant.'

@export()
@description('Built-in roles by name.')
var roles = {
  'Azure Service Bus Data Receiver': '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0'
  'Azure Service Bus Data Sender': '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39'
  'Key Vault Secrets Officer': 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
  'Key Vault Secrets User': '4633458b-17de-408a-b874-0445c86b69e6'
  'Log Analytics Reader': '73c42c96-874c-492b-b04d-ab87d138a893'
  'Monitoring Metrics Publisher': '3913510d-42f4-4e42-8a64-420c390055eb'
  'Storage Blob Data Contributor': 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  'Storage Blob Data Owner': 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  'Storage Table Data Contributor': '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}

@export()
@description('Who is given a role.')
type granteeType = {
  @description('Required. Object id in Microsoft Entra.')
  id: string

  @description('Required. What names of role assignments are made of: known before the deployment, which the id of a new identity is not.')
  key: string

  @description('Required. What kind of principal it is. Told, so that a new identity need not have spread through Entra first.')
  type: 'ServicePrincipal' | 'User' | 'Group'
}
